//! PyTorch's schemas of the composites, from its registry (2.15).

pub(crate) const _SOFTMAX: &str = "aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor";
pub(crate) const _SAFE_SOFTMAX: &str = "aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor";
pub(crate) const _LOG_SOFTMAX: &str = "aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor";
pub(crate) const GELU: &str = "aten::gelu(Tensor self, *, str approximate=\"none\") -> Tensor";
pub(crate) const NATIVE_LAYER_NORM: &str = "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)";
pub(crate) const NATIVE_GROUP_NORM: &str = "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)";
pub(crate) const _NATIVE_BATCH_NORM_LEGIT_NO_STATS: &str = "aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)";
pub(crate) const _NATIVE_BATCH_NORM_LEGIT_NO_TRAINING: &str = "aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)";
pub(crate) const MEAN: &str = "aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor";
pub(crate) const MEAN_DIM: &str =
    "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
pub(crate) const VAR_CORRECTION: &str =
    "aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor";
pub(crate) const STD_CORRECTION: &str =
    "aten::std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor";
pub(crate) const VAR_MEAN_CORRECTION: &str = "aten::var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)";
pub(crate) const STD_MEAN_CORRECTION: &str = "aten::std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)";
pub(crate) const LINALG_VECTOR_NORM: &str = "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
pub(crate) const LOGSUMEXP: &str = "aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor";
pub(crate) const MEDIAN: &str = "aten::median(Tensor self) -> Tensor";
pub(crate) const MEDIAN_DIM: &str =
    "aten::median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
/// Those of all elements of a line, of which equal ones share the derivative.
pub(crate) const MEDIAN_SHARED: &str = "cotangent::median_shared(Tensor self, int dim) -> Tensor";
pub(crate) const NANMEDIAN_SHARED: &str = "cotangent::nanmedian_shared(Tensor self, int dim) -> Tensor";
pub(crate) const NANMEDIAN: &str = "aten::nanmedian(Tensor self) -> Tensor";
pub(crate) const NANMEDIAN_DIM: &str =
    "aten::nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
pub(crate) const MAX_DIM: &str =
    "aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
pub(crate) const MIN_DIM: &str =
    "aten::min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)";
pub(crate) const ALL_DIMS: &str = "aten::all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor";
pub(crate) const ANY_DIMS: &str = "aten::any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor";
pub(crate) const COUNT_NONZERO_DIM_INTLIST: &str = "aten::count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor";
pub(crate) const RELU: &str = "aten::relu(Tensor self) -> Tensor";
pub(crate) const HARDTANH: &str = "aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor";
pub(crate) const LEAKY_RELU: &str = "aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor";
pub(crate) const _PRELU_KERNEL: &str = "aten::_prelu_kernel(Tensor self, Tensor weight) -> Tensor";
pub(crate) const ELU: &str = "aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor";
pub(crate) const CELU: &str = "aten::celu(Tensor self, Scalar alpha=1.) -> Tensor";
pub(crate) const SILU: &str = "aten::silu(Tensor self) -> Tensor";
pub(crate) const MISH: &str = "aten::mish(Tensor self) -> Tensor";
pub(crate) const SOFTPLUS: &str = "aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor";
pub(crate) const HARDSIGMOID: &str = "aten::hardsigmoid(Tensor self) -> Tensor";
pub(crate) const HARDSWISH: &str = "aten::hardswish(Tensor self) -> Tensor";
pub(crate) const HARDSHRINK: &str = "aten::hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor";
pub(crate) const SOFTSHRINK: &str = "aten::softshrink(Tensor self, Scalar lambd=0.5) -> Tensor";
pub(crate) const THRESHOLD: &str = "aten::threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor";
pub(crate) const LOG_SIGMOID_FORWARD: &str = "aten::log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)";
pub(crate) const GLU: &str = "aten::glu(Tensor self, int dim=-1) -> Tensor";
pub(crate) const _CDIST_FORWARD: &str =
    "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor";
pub(crate) const _PDIST_FORWARD: &str = "aten::_pdist_forward(Tensor self, float p=2.) -> Tensor";
pub(crate) const MSE_LOSS: &str = "aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
pub(crate) const SMOOTH_L1_LOSS: &str =
    "aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor";
pub(crate) const HUBER_LOSS: &str =
    "aten::huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor";
pub(crate) const CTC_LOSS: &str = "aten::_ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, bool zero_infinity=False) -> (Tensor, Tensor)";
pub(crate) const NLL_LOSS_FORWARD: &str = "aten::nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)";
pub(crate) const NLL_LOSS2D_FORWARD: &str = "aten::nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)";
pub(crate) const BINARY_CROSS_ENTROPY: &str =
    "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor";
pub(crate) const BINARY_CROSS_ENTROPY_WITH_LOGITS: &str = "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor";
pub(crate) const SOFT_MARGIN_LOSS: &str =
    "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor";
pub(crate) const MULTI_MARGIN_LOSS: &str = "aten::multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) -> Tensor";
pub(crate) const MULTILABEL_MARGIN_LOSS_FORWARD: &str = "aten::multilabel_margin_loss_forward(Tensor self, Tensor target, int reduction) -> (Tensor output, Tensor is_target)";
pub(crate) const MAX_POOL2D_WITH_INDICES: &str = "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)";
pub(crate) const MAX_POOL3D_WITH_INDICES: &str = "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)";
pub(crate) const AVG_POOL2D: &str = "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor";
pub(crate) const AVG_POOL3D: &str = "aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor";
pub(crate) const _ADAPTIVE_AVG_POOL2D: &str =
    "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor";
pub(crate) const _ADAPTIVE_AVG_POOL3D: &str =
    "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor";
pub(crate) const ADAPTIVE_MAX_POOL2D: &str =
    "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)";
pub(crate) const ADAPTIVE_MAX_POOL3D: &str =
    "aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)";
pub(crate) const IM2COL: &str =
    "aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor";
pub(crate) const COL2IM: &str = "aten::col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor";
pub(crate) const UPSAMPLE_NEAREST1D: &str =
    "aten::upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor";
pub(crate) const UPSAMPLE_NEAREST2D: &str = "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const UPSAMPLE_NEAREST3D: &str = "aten::upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const _UPSAMPLE_NEAREST_EXACT1D: &str =
    "aten::_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor";
pub(crate) const _UPSAMPLE_NEAREST_EXACT2D: &str = "aten::_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const _UPSAMPLE_NEAREST_EXACT3D: &str = "aten::_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const UPSAMPLE_LINEAR1D: &str =
    "aten::upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor";
pub(crate) const UPSAMPLE_BILINEAR2D: &str = "aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const UPSAMPLE_TRILINEAR3D: &str = "aten::upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const UPSAMPLE_BICUBIC2D: &str = "aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const GRID_SAMPLER_2D: &str = "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor";
pub(crate) const GRID_SAMPLER_3D: &str = "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor";
pub(crate) const AFFINE_GRID_GENERATOR: &str =
    "aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor";
pub(crate) const GRID_SAMPLER_2D_BACKWARD: &str = "aten::grid_sampler_2d_backward(Tensor grad_output, Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners, bool[2] output_mask) -> (Tensor, Tensor)";
pub(crate) const GRID_SAMPLER_3D_BACKWARD: &str = "aten::grid_sampler_3d_backward(Tensor grad_output, Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners, bool[2] output_mask) -> (Tensor, Tensor)";
pub(crate) const AFFINE_GRID_GENERATOR_BACKWARD: &str =
    "aten::affine_grid_generator_backward(Tensor grad, SymInt[] size, bool align_corners) -> Tensor";
pub(crate) const EMBEDDING: &str = "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor";
pub(crate) const SCALED_DOT_PRODUCT_ATTENTION: &str = "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor";
pub(crate) const _SCALED_DOT_PRODUCT_FLASH_ATTENTION_FOR_CPU: &str = "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)";
pub(crate) const _SCALED_DOT_PRODUCT_FLASH_ATTENTION_FOR_CPU_BACKWARD: &str = "aten::_scaled_dot_product_flash_attention_for_cpu_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, float dropout_p, bool is_causal, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor grad_query, Tensor grad_key, Tensor grad_value)";
pub(crate) const MV: &str = "aten::mv(Tensor self, Tensor vec) -> Tensor";
pub(crate) const DOT: &str = "aten::dot(Tensor self, Tensor tensor) -> Tensor";
pub(crate) const ADDMM: &str =
    "aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
pub(crate) const BADDBMM: &str =
    "aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor";
pub(crate) const CLAMP: &str = "aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor";
pub(crate) const CLAMP_TENSOR: &str = "aten::clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor";
pub(crate) const CLAMP_MIN: &str = "aten::clamp_min(Tensor self, Scalar min) -> Tensor";
pub(crate) const CLAMP_MAX: &str = "aten::clamp_max(Tensor self, Scalar max) -> Tensor";
pub(crate) const CLAMP_MIN_TENSOR: &str = "aten::clamp_min.Tensor(Tensor self, Tensor min) -> Tensor";
pub(crate) const CLAMP_MAX_TENSOR: &str = "aten::clamp_max.Tensor(Tensor self, Tensor max) -> Tensor";
pub(crate) const LOGIT: &str = "aten::logit(Tensor self, float? eps=None) -> Tensor";
pub(crate) const NAN_TO_NUM: &str =
    "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor";
pub(crate) const FRAC: &str = "aten::frac(Tensor self) -> Tensor";
pub(crate) const DEG2RAD: &str = "aten::deg2rad(Tensor self) -> Tensor";
pub(crate) const RAD2DEG: &str = "aten::rad2deg(Tensor self) -> Tensor";
pub(crate) const FREXP_TENSOR: &str = "aten::frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)";
pub(crate) const HYPOT: &str = "aten::hypot(Tensor self, Tensor other) -> Tensor";
pub(crate) const LOGADDEXP: &str = "aten::logaddexp(Tensor self, Tensor other) -> Tensor";
pub(crate) const LOGADDEXP2: &str = "aten::logaddexp2(Tensor self, Tensor other) -> Tensor";
pub(crate) const XLOGY_TENSOR: &str = "aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor";
pub(crate) const SINC: &str = "aten::sinc(Tensor self) -> Tensor";
pub(crate) const FMAX: &str = "aten::fmax(Tensor self, Tensor other) -> Tensor";
pub(crate) const FMIN: &str = "aten::fmin(Tensor self, Tensor other) -> Tensor";
pub(crate) const LERP_SCALAR: &str = "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor";
pub(crate) const LERP_TENSOR: &str = "aten::lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor";
pub(crate) const ADDCMUL: &str =
    "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
pub(crate) const ADDCDIV: &str =
    "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
pub(crate) const HEAVISIDE: &str = "aten::heaviside(Tensor self, Tensor values) -> Tensor";
pub(crate) const ISNAN: &str = "aten::isnan(Tensor self) -> Tensor";
pub(crate) const ISINF: &str = "aten::isinf(Tensor self) -> Tensor";
pub(crate) const ISPOSINF: &str = "aten::isposinf(Tensor self) -> Tensor";
pub(crate) const ISNEGINF: &str = "aten::isneginf(Tensor self) -> Tensor";
pub(crate) const LOGICAL_AND: &str = "aten::logical_and(Tensor self, Tensor other) -> Tensor";
pub(crate) const LOGICAL_OR: &str = "aten::logical_or(Tensor self, Tensor other) -> Tensor";
pub(crate) const LOGICAL_XOR: &str = "aten::logical_xor(Tensor self, Tensor other) -> Tensor";
pub(crate) const LOGICAL_NOT: &str = "aten::logical_not(Tensor self) -> Tensor";
pub(crate) const ROLL: &str = "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor";
pub(crate) const ROT90: &str = "aten::rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor";
pub(crate) const TRIL: &str = "aten::tril(Tensor self, SymInt diagonal=0) -> Tensor";
pub(crate) const TRIU: &str = "aten::triu(Tensor self, SymInt diagonal=0) -> Tensor";
pub(crate) const DIAGONAL_SCATTER: &str =
    "aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor";
pub(crate) const REFLECTION_PAD1D: &str = "aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor";
pub(crate) const REFLECTION_PAD2D: &str = "aten::reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor";
pub(crate) const REFLECTION_PAD3D: &str = "aten::reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor";
pub(crate) const REPLICATION_PAD1D: &str = "aten::replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor";
pub(crate) const REPLICATION_PAD2D: &str = "aten::replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor";
pub(crate) const REPLICATION_PAD3D: &str = "aten::replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor";
pub(crate) const INDEX_TENSOR: &str = "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor";
pub(crate) const INDEX_PUT: &str =
    "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor";
pub(crate) const INDEX_FILL_INT_SCALAR: &str =
    "aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor";
pub(crate) const INDEX_COPY: &str = "aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor";
pub(crate) const TAKE: &str = "aten::take(Tensor self, Tensor index) -> Tensor";
pub(crate) const PUT: &str = "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor";
pub(crate) const MASKED_FILL_SCALAR: &str =
    "aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor";
pub(crate) const MASKED_FILL_TENSOR: &str =
    "aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor";
pub(crate) const MASKED_SCATTER: &str = "aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor";
pub(crate) const LINALG_CROSS: &str = "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor";
pub(crate) const ONE_HOT: &str = "aten::one_hot(Tensor self, int num_classes=-1) -> Tensor";
pub(crate) const ROUND_DECIMALS: &str = "aten::round.decimals(Tensor self, *, int decimals) -> Tensor";
pub(crate) const POW_TENSOR_SCALAR: &str = "aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor";
pub(crate) const RMS_NORM: &str =
    "aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor";
pub(crate) const CONVOLUTION: &str = "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor";
pub(crate) const LINALG_CHOLESKY_EX: &str =
    "aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)";
pub(crate) const CHOLESKY_SOLVE: &str = "aten::cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor";
pub(crate) const TRIANGULAR_SOLVE: &str = "aten::triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)";
pub(crate) const SPECIAL_ENTR: &str = "aten::special_entr(Tensor self) -> Tensor";
pub(crate) const CHOLESKY_INVERSE: &str = "aten::cholesky_inverse(Tensor self, bool upper=False) -> Tensor";
pub(crate) const LINALG_LU: &str = "aten::linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)";
pub(crate) const LINALG_EIGVALSH: &str = "aten::linalg_eigvalsh(Tensor self, str UPLO=\"L\") -> Tensor";
pub(crate) const LINALG_SVD: &str =
    "aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)";
pub(crate) const LINALG_SVDVALS: &str = "aten::linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor";
pub(crate) const _LINALG_SOLVE_EX: &str = "aten::_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor LU, Tensor pivots, Tensor info)";
pub(crate) const LINALG_LU_SOLVE: &str =
    "aten::linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor";
pub(crate) const LINALG_DET: &str = "aten::linalg_det(Tensor A) -> Tensor";
pub(crate) const _LINALG_DET: &str = "aten::_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)";
pub(crate) const _LINALG_SLOGDET: &str =
    "aten::_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor pivots)";
pub(crate) const LOGDET: &str = "aten::logdet(Tensor self) -> Tensor";
pub(crate) const LINALG_HOUSEHOLDER_PRODUCT: &str =
    "aten::linalg_householder_product(Tensor input, Tensor tau) -> Tensor";
pub(crate) const GEQRF: &str = "aten::geqrf(Tensor self) -> (Tensor a, Tensor tau)";
pub(crate) const ORMQR: &str =
    "aten::ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor";
pub(crate) const LINALG_MATRIX_NORM: &str = "aten::linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
pub(crate) const LINALG_MATRIX_NORM_STR_ORD: &str = "aten::linalg_matrix_norm.str_ord(Tensor self, str ord=\"fro\", int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
pub(crate) const LINALG_PINV_ATOL_RTOL_TENSOR: &str = "aten::linalg_pinv.atol_rtol_tensor(Tensor self, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor";
pub(crate) const LINALG_MATRIX_RANK_ATOL_RTOL_TENSOR: &str = "aten::linalg_matrix_rank.atol_rtol_tensor(Tensor input, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor";
pub(crate) const LINALG_MATRIX_EXP: &str = "aten::linalg_matrix_exp(Tensor self) -> Tensor";
pub(crate) const LINALG_MATRIX_SQRTH: &str = "aten::linalg_matrix_sqrth(Tensor self) -> Tensor";
pub(crate) const LINALG_POLAR: &str = "aten::linalg_polar(Tensor A) -> (Tensor U, Tensor H)";
pub(crate) const LINALG_COND: &str = "aten::linalg_cond(Tensor self, Scalar? p=None) -> Tensor";
pub(crate) const LINALG_COND_P_STR: &str = "aten::linalg_cond.p_str(Tensor self, str p) -> Tensor";
pub(crate) const COPYSIGN_TENSOR: &str = "aten::copysign.Tensor(Tensor self, Tensor other) -> Tensor";
pub(crate) const SPECIAL_XLOG1PY: &str = "aten::special_xlog1py(Tensor self, Tensor other) -> Tensor";
pub(crate) const _FUSED_RMS_NORM: &str =
    "aten::_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)";
pub(crate) const _UPSAMPLE_BILINEAR2D_AA: &str = "aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const _UPSAMPLE_BICUBIC2D_AA: &str = "aten::_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const _UPSAMPLE_LANCZOS2D_AA: &str = "aten::_upsample_lanczos2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor";
pub(crate) const FAKE_QUANTIZE_PER_TENSOR_AFFINE_CACHEMASK: &str = "aten::fake_quantize_per_tensor_affine_cachemask(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> (Tensor output, Tensor mask)";
